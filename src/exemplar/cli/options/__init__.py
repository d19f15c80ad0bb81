"""What each verb can be asked: settings without torch, so that help is told at once."""
