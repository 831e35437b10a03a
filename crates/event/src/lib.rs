//! Events, ids, positions, operations; typed values and their JSON.
