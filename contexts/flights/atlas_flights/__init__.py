"""Flights: a sample context. Events of flights, and what is read of them by flight, route, carrier and airport."""
