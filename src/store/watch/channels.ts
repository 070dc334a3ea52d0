/**
 * The channels of `node:diagnostics_channel` on which stores send messages, if the platform has the
 * module; otherwise they have no subscribers.
 *
 * Invariants:
 * - `hasSubscribers` is one property read. Callers ask it before they compute anything.
 * - Sending never throws: what is reported has happened. An error of a subscriber is an uncaught
 *   exception of the process, as `diagnostics_channel` defines it.
 *
 * The module is asked for when the first store is opened, not when varve is imported.
 */

import { builtinModule } from '../../util/builtin-module.ts';
import type { StoreMessages } from './messages.ts';

export interface Channel<Message> {
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
}

/** One for each message, by the second half of its name. */
export interface Channels {
  readonly commit: Channel<StoreMessages['varve:commit']>;
  readonly checkpoint: Channel<StoreMessages['varve:checkpoint']>;
  readonly settle: Channel<StoreMessages['varve:settle']>;
  readonly recovery: Channel<StoreMessages['varve:recovery']>;
  readonly poisoned: Channel<StoreMessages['varve:poisoned']>;
}

interface DiagnosticsChannels {
  channel(name: string): Channel<unknown>;
}

let channels: Channels | undefined;

/** The channels of this thread. They are kept: the module would forget them. */
export function storeChannels(): Channels {
  channels ??= makeChannels(builtinModule<DiagnosticsChannels>('node:diagnostics_channel'));
  return channels;
}

/** Exported for tests. */
export function makeChannels(module: DiagnosticsChannels | undefined): Channels {
  const named = (name: keyof StoreMessages): Channel<unknown> => module?.channel(name) ?? silent;
  return {
    commit: named('varve:commit'),
    checkpoint: named('varve:checkpoint'),
    settle: named('varve:settle'),
    recovery: named('varve:recovery'),
    poisoned: named('varve:poisoned'),
  };
}

const silent: Channel<unknown> = {
  hasSubscribers: false,
  publish() {},
};

/** Sends the message to all subscribers, on the calling thread. */
export function send<Message>(channel: Channel<Message>, message: Message): void {
  try {
    channel.publish(message);
  } catch (error) {
    // The module reports errors of subscribers by itself. A replaced one may not.
    queueMicrotask(() => {
      throw error;
    });
  }
}
