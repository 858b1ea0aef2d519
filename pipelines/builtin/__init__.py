"""The trainers that come with Isthmus (`trainer: isthmus.logistic`), and their predictors."""
