-- Where in a trace the operation was that made an event: `traceparent`, and behind a space `tracestate` (W3C Trace Context). NULL: in none.
-- Deliveries go out with it, whichever process sends them.
ALTER TABLE events ADD COLUMN trace TEXT;
