/** Counts what compactions move while the tests of a file run. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll } from 'vitest';

/** To be called once; the bytes that compactions which have ended have moved so far. */
export function movedBytes(): () => number {
  let bytes = 0;
  const heard = (message: unknown): void => {
    bytes += (message as { movedBytes: number }).movedBytes;
  };
  beforeAll(() => subscribe('varve:compact', heard));
  afterAll(() => void unsubscribe('varve:compact', heard));
  return () => bytes;
}
