-- Rows as applications have them: :rows orders of some 220 bytes, with the same content in every run.
SELECT setseed(0.42) AS ignored \gset
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, mail text UNIQUE, address jsonb);
INSERT INTO customers
SELECT n, 'Customer ' || md5(n::text), 'c' || n || '@example.org', jsonb_build_object('street', md5((n * 7)::text), 'zip', n % 99999)
FROM generate_series(1, :rows / 20 + 1) n;
CREATE TABLE orders (id bigint, customer integer, placed timestamptz, state text, total numeric(12,2), note text);
INSERT INTO orders
SELECT n, n % (:rows / 20 + 1) + 1, timestamptz '2020-01-01 00:00:00Z' + n * interval '3 minutes', (ARRAY['new', 'paid', 'sent', 'returned'])[n % 4 + 1],
       (random() * 1000)::numeric(12,2), 'Deliver to ' || md5(n::text) || ', ring ' || n % 9 || ' times. ' || md5(random()::text) || repeat(' please', n % 5)
FROM generate_series(1, :rows) n;
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers;
CREATE INDEX orders_by_customer ON orders (customer, placed);
CREATE INDEX orders_by_state ON orders (state) WHERE state <> 'sent';
ANALYZE;
