//! A disk that is full, and one that refuses the n-th write.
