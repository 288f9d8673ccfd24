"""What screens may ask and do: typed, over the Runtime, a short transaction each."""
