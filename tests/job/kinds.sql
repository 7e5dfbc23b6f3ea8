-- Every type whose values bkp tells in COPY's binary form, with values all over its range.
CREATE TYPE mood AS ENUM ('sad', 'it''s', E'tab\there', E'back\\slash', 'é');
CREATE TABLE kinds (a boolean, b bytea, c bigint, d smallint, e integer, f text, g json, h character(9), i character varying(40), j real,
    k double precision, l date, m timestamp, n timestamptz, o numeric, p numeric(12,3), q uuid, r jsonb, s boolean[], t smallint[], u integer[],
    v text[], w varchar[], x bigint[], y double precision[], z timestamp(3)[], aa date[], bb timestamptz[], cc numeric[], dd uuid[], ee mood,
    ff timestamptz(2), gg varchar);
CREATE FUNCTION word(r bigint, n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(string_agg(CASE WHEN c < 24 THEN chr(1 + c) WHEN c < 30 THEN '\' WHEN c < 36 THEN '\x' || c WHEN c < 40 THEN ',' WHEN c < 44 THEN '"'
    WHEN c < 48 THEN '{}' WHEN c < 52 THEN 'null' WHEN c < 56 THEN 'NULL' WHEN c < 62 THEN '€😀' WHEN c < 66 THEN '\.' ELSE chr(32 + c % 90) END, ''), '')
  FROM (SELECT (hashint8(r + g) & 127) AS c FROM generate_series(1, n) g) AS of $$;
CREATE VIEW random AS SELECT i, ('x' || md5(i::text))::bit(64)::bigint >> (i % 64) AS r, ('x' || md5('b' || i))::bit(64)::bigint AS s
  FROM generate_series(1, 6000) i;
INSERT INTO kinds SELECT s % 2 = 0, decode(repeat(md5(s::text), i % 9), 'hex') || decode(left(md5(s::text), i % 8 * 2), 'hex'), r, (r % 32768)::smallint, (r % 2147483648)::integer,
    word(r, i % 23), json_build_object(replace(word(s, 3), chr(1), ''), r, 'x', ARRAY[s, r]), left(word(s, 9), 9), left(word(r + 1, 12), 40),
    (s / 9.3e18 * power(10::double precision, i % 40 - 20))::real, s / 9.3e18 * power(10::double precision, i % 600 - 300),
    date '0001-01-01' + (abs(s % 3652059))::integer, timestamp '0001-01-02' + abs(s % 315000000000) * interval '1 second' + (r % 86000) * interval '1 microsecond',
    (timestamp '0001-01-02' + abs(s % 315000000000) * interval '1 second' + (r % 1000) * interval '1 ms') AT TIME ZONE 'UTC',
    s * power(10::numeric, i % 90 - 45), r % 1000000000 / 1000.0, md5(s::text)::uuid, jsonb_build_array(replace(word(r, 7), chr(1), ''), s, s / 1000.0, NULL, true),
    ARRAY[s % 2 = 0, NULL, true], ARRAY[(r % 32768)::smallint], ARRAY[]::integer[] || CASE WHEN i % 5 = 0 THEN NULL ELSE array_fill((r % 9)::integer, ARRAY[i % 7]) END,
    ARRAY[word(r, 3), word(s, 1), 'x', NULL, '', ' ', word(s, 9)], ARRAY[word(s, 2)], ARRAY[r, s, NULL],
    ARRAY[s / 7.0::double precision, 0, -0.0::double precision], ARRAY[timestamp '2001-01-01' + r % 999999 * interval '1 ms'], ARRAY[date '1999-12-31' + (s % 999)::integer],
    ARRAY[timestamptz '2001-01-01' + r % 999999 * interval '1 ms'], ARRAY[s / 1000.0, 0.000, r], ARRAY[md5(r::text)::uuid, NULL], (enum_range(NULL::mood))[1 + abs(s % 5)],
    timestamptz '1900-01-01' + r % 999999999 * interval '1.01 s', word(r, 2)
  FROM random ORDER BY i;
INSERT INTO kinds (a) VALUES (NULL);
INSERT INTO kinds (c, d, e, j, k, l, m, n, o, p, b, f, i, u, v) VALUES
 (9223372036854775807, 32767, 2147483647, '3.4028235e38', '1.7976931348623157e308', '9999-12-31', '9999-12-31 23:59:59.999999', '9999-12-31 00:00:00+00', 0, 0, '', '', '', '{}', '{}'),
 (-9223372036854775808, -32768, -2147483648, '1e-45', '5e-324', '0001-01-01', '0001-01-01 00:00:00', '0001-01-02 00:00:00+00', '-0.0000', -999999999.999, '\x00', ' ', ' ', '{0}', '{NULL}'),
 (0, 0, 0, 'NaN', 'NaN', '2000-02-29', '2000-02-29 12:00:00.1', '1900-01-01', 10000, 0.001, '\x5c', '\N', '\.', '{NULL}', '{"null",NULL,""}'),
 (1, 1, 1, 'Infinity', '-Infinity', '1900-03-01', '1600-02-29 00:00:00.000001', '2038-01-19', '0.00010', 1, '\xff', E'a\r\nb', E'\r', '{1,2}', ARRAY[E'\r\n', E'\b\f\t\v', '\\']);
ALTER TABLE kinds DROP COLUMN gg;
