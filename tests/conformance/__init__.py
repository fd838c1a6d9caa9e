"""Atlas held against Apache Avro's own Java library and against the whole of Avro's specification."""
