/**
 * Subscribers to the messages of a store: what they cost, what they may do, and a platform that has no
 * such channels. Subscribers that throw are in test/processes/watching.test.ts.
 */

import { describe, expect, it, vi } from 'vitest';
import { makeChannels, send } from '../../../src/store/watch/channels.ts';
import { bytesOf, check, storePath, storesOfTest } from '../../support/fixtures/store-checks.ts';
import { channelNames, listen } from './recorded-messages.ts';

const stores = storesOfTest();

describe('without subscribers', () => {
  it('commits and checkpoints read no clock', async () => {
    const { store } = await stores.wrapped();
    let reads = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      reads += 1;
      return reads;
    });
    async function commitsOf(): Promise<number> {
      reads = 0;
      for (let at = 0; at < 10; at += 1) {
        const { id } = await store.put(bytesOf('value'));
        const session = store.session();
        session.archive(id);
        session.checkpointTo(store.currentBatch);
        session.commitSync();
      }
      return reads;
    }
    // Small commits have no pauses, so nothing else reads it; the first one makes a map.
    await store.put(bytesOf('first'));
    expect(await commitsOf()).toBe(0);
    const end = listen('varve:commit', () => undefined);
    expect(await commitsOf()).toBeGreaterThan(20 * 4);
    end();
    await store.put(bytesOf('the meter is taken off'));
    expect(await commitsOf()).toBe(0);
    clock.mockRestore();
  });
});

describe('subscribers that use the store', () => {
  it('commit in later batches, and find the present one busy', async () => {
    const { store } = await stores.wrapped();
    const puts: Promise<unknown>[] = [];
    const codes: unknown[] = [];
    const batches: number[] = [];
    listen('varve:commit', ({ batch }) => {
      if (batch > 3) return;
      puts.push(store.put(bytesOf(`after ${batch}`)));
      using session = store.session();
      session.push(bytesOf('at once'));
      try {
        session.commitSync();
      } catch (error) {
        codes.push(error);
      }
    });
    listen('varve:commit', ({ batch }) => batches.push(batch));
    const session = store.session();
    session.push(bytesOf('first'));
    expect(session.commitSync()).toBe(1);
    while (puts.length < 3) await puts.at(-1);
    await Promise.all(puts);
    expect(batches).toEqual([1, 2, 3, 4]);
    expect(codes).toMatchObject([1, 2, 3].map(() => ({ code: 'VARVE_BUSY' })));
    expect(store.statistics().values).toBe(4);
  });

  it('close it, and the commit that they are told of resolves', async () => {
    const { store, disk } = await stores.wrapped();
    let closing: Promise<void> | undefined;
    listen('varve:commit', () => {
      closing ??= store.close();
    });
    const [first] = await Promise.all([store.put(bytesOf('last')), store.put(bytesOf('shared'))]);
    expect(first.batch).toBe(1);
    await closing;
    await check.value(
      await stores.open(storePath, { fileSystem: disk }),
      first.id,
      bytesOf('last'),
    );
  });
});

describe('channels', () => {
  it('have no subscribers where there is no such module', () => {
    const channels = makeChannels(undefined);
    expect(Object.values(channels)).toHaveLength(channelNames.length);
    for (const { hasSubscribers } of Object.values(channels)) expect(hasSubscribers).toBe(false);
  });

  it('never make the sender fail', async () => {
    const queued: (() => void)[] = [];
    vi.stubGlobal('queueMicrotask', (callback: () => void) => queued.push(callback));
    const error = new Error('a subscriber failed');
    const channel = {
      hasSubscribers: true,
      publish() {
        throw error;
      },
    };
    send(channel, {});
    vi.unstubAllGlobals();
    expect(queued).toHaveLength(1);
    expect(queued[0]).toThrow(error);
  });
});
