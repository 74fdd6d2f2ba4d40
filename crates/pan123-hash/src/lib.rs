//! Etag and slice MD5s of files in one pass, and many files in lanes.
