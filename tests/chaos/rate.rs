//! Many processes, one cap; and a server whose limit is lower than ours.
