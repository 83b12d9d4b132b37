//! The key and the signature stand nowhere, whatever goes wrong.
