/**
 * A module with nothing in it: what importing any file takes.
 *
 * Invariant: it stays empty. `bench/import.ts` holds packages against it.
 */
export {};
