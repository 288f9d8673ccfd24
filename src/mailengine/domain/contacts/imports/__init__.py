"""Files of contacts: bytes are looked through once (`scan`, `encoding`), understood (`dialect`, `mapping`),
read record by record (`records`, `rows`), compared with what is stored (`plan`) and stored in batches
(`run`, `sqlite_store`, `postgres_store`).

What is wrong with the whole file is found before its first row is stored; what is wrong with a row costs that
row only.
"""
