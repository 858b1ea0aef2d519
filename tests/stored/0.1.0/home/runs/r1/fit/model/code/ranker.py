class History:
    def __init__(self, mean):
        self.mean = mean

    def predict(self, rows):
        return [self.mean if row["item_ctr_7d"] is None else row["item_ctr_7d"] for row in rows]
