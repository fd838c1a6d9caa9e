"""Every private part of aiokafka that Atlas uses. No other module touches one: tests/architecture/test_aiokafka.py.

aiokafka may change these in any release, so its version is bounded in each pyproject.toml, and
tests/unit/kafka/internals tells for each part whether the installed version still has it.
"""
