-- The warehouse: the shop's tables once more, in MariaDB, in the database `shop`.

CREATE TABLE customers (
    id          bigint AUTO_INCREMENT PRIMARY KEY,
    name        varchar(100) NOT NULL,
    email       varchar(100) NOT NULL UNIQUE,
    city        varchar(100),
    created_at  timestamp(6) NOT NULL DEFAULT current_timestamp(6)
);

CREATE TABLE products (
    sku    varchar(20) PRIMARY KEY,
    name   varchar(100) NOT NULL,
    price  decimal(10, 2) NOT NULL,
    stock  int NOT NULL DEFAULT 0
);

CREATE TABLE orders (
    id           bigint AUTO_INCREMENT PRIMARY KEY,
    customer_id  bigint NOT NULL,
    status       varchar(20) NOT NULL DEFAULT 'pending',
    total        decimal(12, 2) NOT NULL DEFAULT 0,
    placed_at    timestamp(6) NOT NULL DEFAULT current_timestamp(6),
    FOREIGN KEY (customer_id) REFERENCES customers (id)
);

-- Where Debezium is told to read a table again (`execute-snapshot`).
CREATE TABLE debezium_signal (
    id    varchar(42) PRIMARY KEY,
    type  varchar(32) NOT NULL,
    data  varchar(2048)
);

-- What a connector needs besides the tables of its database.
GRANT SELECT, RELOAD, SHOW DATABASES, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR ON *.* TO 'shop'@'%';
