-- The demonstration's roles and its database with properties of its own.
CREATE ROLE shop_owner LOGIN PASSWORD 'demo: owner''s';
CREATE ROLE clerk LOGIN PASSWORD 'demo: clerk''s' CONNECTION LIMIT 5;
CREATE ROLE auditors NOLOGIN;
GRANT auditors TO clerk;
ALTER ROLE clerk SET statement_timeout TO '30s';
CREATE DATABASE shop OWNER shop_owner;
REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO clerk, auditors;
ALTER DATABASE shop SET work_mem TO '6MB';
COMMENT ON DATABASE shop IS 'the shop''s database';
