"""What unit tests share."""

from hypothesis import settings

# A busy machine must not fail a property: pytest's own time limit ends what hangs.
settings.register_profile("tfspark", deadline=None)
settings.load_profile("tfspark")
