//! The upload engine of pan123: drives the state machine with files, sockets and clocks.
