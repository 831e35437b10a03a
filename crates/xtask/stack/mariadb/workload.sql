-- The warehouse's life: one step a second, until it is stopped. It may be started again on what an earlier run has left.
INSERT IGNORE INTO products VALUES ('LAM-100', 'lamp', 39.90, 40), ('MUG-105', 'mug', 12.60, 120), ('DES-104', 'desk', 420.00, 15);

DELIMITER //
CREATE OR REPLACE PROCEDURE warehouse_life()
BEGIN
    DECLARE dice double;
    WHILE TRUE DO
        SET dice = rand();
        IF dice < 0.2 OR NOT EXISTS (SELECT 1 FROM customers) THEN
            INSERT INTO customers (name, email, city) VALUES (elt(1 + floor(rand() * 3), 'Ada', 'Grace', 'Radia'), concat(uuid(), '@example.com'), 'Oslo');
        ELSEIF dice < 0.6 THEN
            INSERT INTO orders (customer_id, total) SELECT id, round(10 + rand() * 500, 2) FROM customers ORDER BY rand() LIMIT 1;
        ELSEIF dice < 0.9 THEN
            UPDATE orders SET status = elt(field(status, 'pending', 'paid', 'packed') + 1, 'delivered', 'paid', 'packed', 'shipped')
            WHERE status <> 'delivered' ORDER BY rand() LIMIT 1;
        ELSE
            UPDATE products SET stock = stock + 5 ORDER BY rand() LIMIT 1;
        END IF;
        COMMIT;
        DO sleep(1);
    END WHILE;
END //
DELIMITER ;

CALL warehouse_life();
