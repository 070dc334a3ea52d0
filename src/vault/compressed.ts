/**
 * A vault that compresses: raw deflate of `node:zlib`, or the bytes unchanged if deflate does not
 * make them shorter.
 *
 * Invariant: the first byte says which of the two it is. Bytes that do not decompress are
 * `VARVE_VAULT`. It authenticates nothing: use it as the inner vault of `aesGcm` for that. The
 * length of a compressed secret reveals its content: do not compress data that an attacker can mix
 * with a secret of yours.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Vault } from '../codecs/vault.ts';
import { invalidArgument, VarveError } from '../errors.ts';
import { checkNames } from '../util/options.ts';

const asItIs = 0;
const deflated = 1;
const levelDefault = 1;
/** Shorter bytes are not worth the time. */
const shortestBytes = 64;

export interface CompressedOptions {
  /** The level of zlib: 1 (quick, the default) to 9 (small). */
  readonly level?: number | undefined;
}

/** A vault that compresses. Throws `VARVE_INVALID_ARGUMENT` for a level that zlib does not have. */
export function compressed(options: CompressedOptions = {}): Vault {
  checkNames('compressed', options, { level: true });
  const { level = levelDefault } = options;
  if (!Number.isInteger(level) || level < 1 || level > 9) {
    throw invalidArgument('compressed: level', '1 to 9', level);
  }
  return Object.freeze<Vault>({
    name: 'deflate',
    seal(plain) {
      const body = plain.length < shortestBytes ? plain : deflateRawSync(plain, { level });
      return body.length < plain.length ? tagged(deflated, body) : tagged(asItIs, plain);
    },
    open(sealed) {
      const body = sealed.subarray(1);
      if (sealed[0] === asItIs) return body.slice();
      if (sealed[0] !== deflated) throw damaged(undefined);
      try {
        return new Uint8Array(inflateRawSync(body));
      } catch (cause) {
        throw damaged(cause);
      }
    },
  });
}

function tagged(tag: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = tag;
  bytes.set(body, 1);
  return bytes;
}

function damaged(cause: unknown): VarveError {
  return new VarveError('VARVE_VAULT', 'the bytes cannot be decompressed', { cause });
}
