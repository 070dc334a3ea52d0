/**
 * The messages that stores send while a test runs: a subscriber to every channel, from the call to
 * the end of the test.
 */

import diagnostics from 'node:diagnostics_channel';
import { onTestFinished } from 'vitest';
import type { StoreMessages } from '../../../src/index.ts';

export const channelNames = [
  'varve:commit',
  'varve:checkpoint',
  'varve:settle',
  'varve:recovery',
  'varve:compact',
  'varve:poisoned',
] as const satisfies readonly (keyof StoreMessages)[];

type Named = {
  [Name in keyof StoreMessages]: { readonly name: Name; readonly message: StoreMessages[Name] };
}[keyof StoreMessages];

/** Calls `listener` with each message of the channel until the test has ended, or the result is. */
export function listen<Name extends keyof StoreMessages>(
  name: Name,
  listener: (message: StoreMessages[Name]) => void,
): () => void {
  const own = (message: unknown): void => listener(message as StoreMessages[Name]);
  diagnostics.subscribe(name, own);
  const end = (): void => {
    diagnostics.unsubscribe(name, own);
  };
  onTestFinished(end);
  return end;
}

export class RecordedMessages {
  /** In the order in which they came. */
  readonly all: Named[] = [];
  readonly #ends: (() => void)[];

  constructor() {
    this.#ends = channelNames.map((name) =>
      listen(name, (message) => this.all.push({ name, message } as Named)),
    );
  }

  /** Records no more. */
  end(): void {
    for (const end of this.#ends) end();
  }

  of<Name extends keyof StoreMessages>(name: Name): StoreMessages[Name][] {
    return this.all.flatMap((one) =>
      one.name === name ? [one.message as StoreMessages[Name]] : [],
    );
  }
}

export function sumOf<Item>(items: readonly Item[], numberOf: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + numberOf(item), 0);
}
