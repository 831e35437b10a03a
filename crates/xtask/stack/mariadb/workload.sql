-- The warehouse's life: one step a second, until it is stopped. It may be started again on what an earlier run has left.
INSERT IGNORE INTO stock VALUES ('LAM-100', 'A-1', 40, 21.00), ('MUG-105', 'A-2', 120, 4.80), ('DES-104', 'C-1', 15, 233.00), ('CHA-103', 'C-2', 30, 71.50);

DELIMITER //
CREATE OR REPLACE PROCEDURE warehouse_life()
BEGIN
    DECLARE dice double;
    WHILE TRUE DO
        SET dice = rand();
        IF dice < 0.1 OR NOT EXISTS (SELECT 1 FROM suppliers) THEN
            INSERT INTO suppliers (name, email, city)
            VALUES (elt(1 + floor(rand() * 3), 'Kiln', 'Loom', 'Forge'), concat(uuid(), '@example.com'), elt(1 + floor(rand() * 2), 'Porto', 'Turin'));
        ELSEIF dice < 0.5 THEN
            INSERT INTO deliveries (supplier_id, sku, quantity, cost)
            SELECT suppliers.id, stock.sku, 10, 10 * stock.cost FROM suppliers CROSS JOIN stock ORDER BY rand() LIMIT 1;
        ELSEIF dice < 0.9 THEN
            START TRANSACTION;
            SET @delivery = (SELECT id FROM deliveries WHERE status <> 'shelved' ORDER BY rand() LIMIT 1);
            UPDATE deliveries SET status = elt(field(status, 'ordered', 'sent', 'arrived'), 'sent', 'arrived', 'shelved') WHERE id = @delivery;
            UPDATE stock JOIN deliveries USING (sku) SET stock.quantity = stock.quantity + deliveries.quantity
            WHERE deliveries.id = @delivery AND deliveries.status = 'shelved';
            COMMIT;
        ELSE
            UPDATE stock SET quantity = greatest(quantity - 3, 0) ORDER BY rand() LIMIT 1;
        END IF;
        DO sleep(1);
    END WHILE;
END //
DELIMITER ;

CALL warehouse_life();
