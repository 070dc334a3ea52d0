/**
 * The peers that are installed in `bench/`, as contestants.
 *
 * Invariant: a bench works without them: one that is missing or cannot be loaded on this machine
 * is left out, and `missingPeers` names it. No peer is loaded before one of them is asked for or
 * opened: the process of one contestant loads that one alone.
 */

import type { Contestant, Running } from '../contestant.ts';
import type { OrderedPeer } from './ordered-peer.ts';
import type { Peer } from './peer.ts';
import { type LoadedPeer, loadPeer, peerKinds } from './peer-packages.ts';

interface Found {
  readonly installed: readonly LoadedPeer[];
  readonly missing: readonly string[];
}

let found: Found | undefined;

function search(): Found {
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
  return { installed, missing };
}

export function installedPeers(): readonly LoadedPeer[] {
  found ??= search();
  return found.installed;
}

/** Those that are left out, each with the reason. */
export function missingPeers(): readonly string[] {
  found ??= search();
  return found.missing;
}

/** False for the contestant of a peer that is left out. */
export function isInstalled({ peer }: Contestant): boolean {
  return peer === undefined || installedPeers().some(({ name }) => name === peer);
}

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
  const chosen = peerKinds.filter(({ name }) => only?.includes(name) ?? true);
  return chosen.map(
    ({ name }): Contestant => ({
      name: `${name}${suffix}`,
      kind: 'peer',
      peer: name,
      ...rest,
      async open(folder) {
        const peer = await openPeer(loadPeer(name), folder);
        return { ...(await work(peer)), close: () => peer.close() };
      },
    }),
  );
}

/** A contestant for each peer, whether it is installed or not (`isInstalled`). */
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
