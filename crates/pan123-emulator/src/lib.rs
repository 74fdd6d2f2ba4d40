//! The 123 Cloud Drive upload service on loopback, with scripted faults.
