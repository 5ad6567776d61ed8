//! What the host lacks for a plan.
