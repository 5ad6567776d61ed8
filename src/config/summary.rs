//! What `hotspare check` prints of a good configuration.
