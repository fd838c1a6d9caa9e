-- Flights and their mean delay by carrier, over everything that is archived of the topic.
-- topic: flights.events
-- type: flights.FlightDeparted
SELECT carrier, COUNT(*) AS flights, AVG(departure_delay_minutes) AS mean_delay
FROM events
GROUP BY carrier
ORDER BY carrier
