-- What a day changes: 1 % of the rows of each large table, in five stretches of neighbours; of the small tables every hundredth.
SELECT greatest(count(*) / 5, 100) AS accounts FROM pgbench_accounts \gset
SELECT greatest(count(*) / 5, 100) AS documents FROM documents \gset
SELECT greatest(count(*) / 5, 100) AS attachments FROM attachments \gset
SELECT greatest(count(*) / 5, 100) AS orders FROM orders \gset
UPDATE pgbench_accounts SET abalance = abalance + 1 + aid % 1000 WHERE aid % :accounts BETWEEN :accounts / 2 AND :accounts / 2 + :accounts / 100 - 1;
UPDATE documents SET changed = changed + interval '1 day', body = reverse(body), score = score + 1 WHERE id % :documents BETWEEN :documents / 2 AND :documents / 2 + :documents / 100 - 1;
UPDATE attachments SET content = sha512(content) || substr(content, 1, length(content) - 64) WHERE id % :attachments BETWEEN :attachments / 2 AND :attachments / 2 + :attachments / 100 - 1;
UPDATE orders SET state = 'returned', total = total + 1 WHERE id % :orders BETWEEN :orders / 2 AND :orders / 2 + :orders / 100 - 1;
SELECT format('UPDATE small.%I SET name = reverse(name)', tablename) FROM pg_tables WHERE schemaname = 'small' AND tablename ~ '01$' \gexec
