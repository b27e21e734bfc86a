"""The driver of librdkafka: the only package that imports `confluent_kafka`.

* `driver`: opens everything, implements `kafka_persist.driver.Driver`.
* `producer`: the bridge of delivery reports from the poller thread to Trio.
* `scanner`, `readers`: consumers, alone for single logs and together for crowds.
* `admin`: topics, their settings, deletion of records.
* `errors`: what each error code means; `client`: the clients' own words, into `logging` and into error messages.
"""
