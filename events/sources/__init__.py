"""The sources that a batch of events is read from: text files, Parquet, Arrow, SQL."""
