"""Pure mail formats: bytes in, values out, each rule cited at its line."""
