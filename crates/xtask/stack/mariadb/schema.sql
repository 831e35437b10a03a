-- The shop's warehouse: what its database holds before anything happens. Its tables have other names than the shop's, so that Deltafold
-- can call both by the tables' names alone.

CREATE TABLE suppliers (
    id          bigint AUTO_INCREMENT PRIMARY KEY,
    name        varchar(100) NOT NULL,
    email       varchar(100) NOT NULL UNIQUE,
    city        varchar(100),
    created_at  timestamp(6) NOT NULL DEFAULT current_timestamp(6)
);

CREATE TABLE stock (
    sku       varchar(20) PRIMARY KEY,
    bin       varchar(20) NOT NULL,
    quantity  int NOT NULL DEFAULT 0,
    cost      decimal(10, 2)
);

CREATE TABLE deliveries (
    id           bigint AUTO_INCREMENT PRIMARY KEY,
    supplier_id  bigint NOT NULL,
    sku          varchar(20) NOT NULL,
    quantity     int NOT NULL,
    cost         decimal(12, 2) NOT NULL,
    status       enum('ordered', 'sent', 'arrived', 'shelved') NOT NULL DEFAULT 'ordered',
    ordered_at   timestamp(6) NOT NULL DEFAULT current_timestamp(6),
    FOREIGN KEY (supplier_id) REFERENCES suppliers (id),
    FOREIGN KEY (sku) REFERENCES stock (sku)
);

-- Where Debezium is told to read a table again (`execute-snapshot`).
CREATE TABLE warehouse_signal (
    id    varchar(42) PRIMARY KEY,
    type  varchar(32) NOT NULL,
    data  varchar(2048)
);

-- What a connector needs besides the tables of its database.
GRANT SELECT, RELOAD, SHOW DATABASES, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR ON *.* TO 'warehouse'@'%';
