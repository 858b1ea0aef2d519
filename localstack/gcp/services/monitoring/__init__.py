"""Cloud Monitoring: the time series of online prediction by deployed model, what clients write
themselves, aligners and reducers.
"""
