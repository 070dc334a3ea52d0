/**
 * The peers that are installed in `bench/`, as contestants.
 *
 * Invariant: a bench works without them: one that is missing or cannot be loaded on this machine
 * is left out, and `missingPeers` names it.
 */

import type { Contestant, Running } from '../contestant.ts';
import type { OrderedPeer } from './ordered-peer.ts';
import type { Peer } from './peer.ts';
import { type LoadedPeer, loadPeer, peerKinds } from './peer-packages.ts';

const installed: LoadedPeer[] = [];
const missing: string[] = [];
for (const { name } of peerKinds) {
  try {
    installed.push(loadPeer(name));
  } catch (error) {
    const { code } = error as { code?: unknown };
    const reason = code === 'MODULE_NOT_FOUND' ? 'not installed' : `does not load: ${error}`;
    missing.push(`${name} (${reason.split('\n', 1)[0]})`);
  }
}

export const installedPeers: readonly LoadedPeer[] = installed;

/** Those that are left out, each with the reason. */
export const missingPeers: readonly string[] = missing;

/** How a question makes a peer do its work. */
type PeerWork<Opened> = (peer: Opened) => Omit<Running, 'close'> | Promise<Omit<Running, 'close'>>;

interface PeerChoice {
  /** What is added to the names. */
  readonly suffix?: string;
  readonly only?: readonly string[];
  readonly floor?: string;
  readonly clients?: number;
  readonly operations?: number;
}

function contestantsOf<Opened extends { close(): void | Promise<void> }>(
  openPeer: (peer: LoadedPeer, folder: string) => Opened | Promise<Opened>,
  work: PeerWork<Opened>,
  how: PeerChoice,
): Contestant[] {
  const { suffix = '', only, ...rest } = how;
  const chosen = installed.filter(({ name }) => only?.includes(name) ?? true);
  return chosen.map(
    (loaded): Contestant => ({
      name: `${loaded.name}${suffix}`,
      kind: 'peer',
      ...rest,
      async open(folder) {
        const peer = await openPeer(loaded, folder);
        return { ...(await work(peer)), close: () => peer.close() };
      },
    }),
  );
}

/** A contestant for each peer that is installed. */
export function peerContestants(work: PeerWork<Peer>, how: PeerChoice = {}): Contestant[] {
  return contestantsOf((peer, folder) => peer.open(folder), work, how);
}

/** The same, of entries under keys of bytes. */
export function orderedPeerContestants(
  work: PeerWork<OrderedPeer>,
  how: PeerChoice = {},
): Contestant[] {
  return contestantsOf((peer, folder) => peer.openOrdered(folder), work, how);
}
