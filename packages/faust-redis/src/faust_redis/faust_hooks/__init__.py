"""Every place where the transport hooks into Faust's private parts."""
