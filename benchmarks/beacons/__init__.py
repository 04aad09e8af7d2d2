"""How well implants are found among everything else that calls by the clock.

events, clocks              columns of connections; processes that make times
people, software, implants  who is in the world; none of them knows a detector
world                       one seed's log, and its labels apart
notebook, rita, hunt        the three detectors; none of them sees a label
scoring, report             thresholds, recall, false positives; as text and as JSON
"""
