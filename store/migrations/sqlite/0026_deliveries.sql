-- The deliveries that were accepted, for their list. (An index of all, whatever their state, would be taken for the pending ones too, and
-- a dispatcher would read over everything that it has delivered.)
CREATE INDEX deliveries_done ON deliveries (webhook, position) WHERE state = 'delivered';
