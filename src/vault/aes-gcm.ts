/**
 * A vault that encrypts and authenticates: AES-256-GCM of `node:crypto` with random nonces.
 *
 * Invariant: a sealed value is nonce (12 bytes), tag (16), ciphertext. The context is authenticated
 * too: changed or moved bytes are `VARVE_VAULT`. The caller makes, keeps and changes the keys.
 *
 * `aesGcm` states the bounds of this.
 */

import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';
import type { Vault } from '../codecs/vault.ts';
import { invalidArgument, VarveError } from '../errors.ts';
import { isBytes } from '../util/bytes.ts';
import { checkNames } from '../util/options.ts';

const algorithm = 'aes-256-gcm';
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const overheadBytes = nonceBytes + tagBytes;
/** Random bytes are fetched for many nonces at once. */
const noncesAtOnce = 256;

export interface AesGcmOptions {
  /** 32 bytes. Copied. */
  readonly key: Uint8Array;
  /** Kept with the forest, to distinguish vaults. Default 'aes-256-gcm'. */
  readonly name?: string | undefined;
  /**
   * A vault inside this one, such as compression: seals before encryption, opens after decryption.
   */
  readonly inner?: Vault | undefined;
}

/**
 * A vault that encrypts. Throws `VARVE_INVALID_ARGUMENT` for a key that is not of 32 bytes.
 *
 * Bounds:
 * - A nonce is 96 random bits. Up to 2^32 values sealed under one key, the chance that two share a
 *   nonce stays below 2^-32 (NIST SP 800-38D, 8.3). Each written node is one value; a value that a
 *   transaction pushes is two.
 * - A reader of the file sees lengths, times, and which values change.
 * - Not detected: the whole file put back to an older state.
 * - Not detected: a pushed value replaced by one of the same id, from this forest or from another
 *   one under the same key.
 */
export function aesGcm(options: AesGcmOptions): Vault {
  checkNames('aesGcm', options, { key: true, name: true, inner: true });
  const { key, name = algorithm, inner } = options;
  if (!isBytes(key) || key.length !== keyBytes) {
    throw invalidArgument('aesGcm: key', `${keyBytes} bytes`, key);
  }
  const own = key.slice();
  const nonces = new Uint8Array(nonceBytes * noncesAtOnce);
  let used = nonces.length;
  const nextNonce = (): Uint8Array => {
    if (used === nonces.length) {
      randomFillSync(nonces);
      used = 0;
    }
    used += nonceBytes;
    return nonces.subarray(used - nonceBytes, used);
  };
  return Object.freeze<Vault>({
    name: inner === undefined ? name : `${name}(${inner.name})`,
    overheadBytes: overheadOf(inner),
    seal(plain, context) {
      const nonce = nextNonce();
      const cipher = createCipheriv(algorithm, own, nonce, { authTagLength: tagBytes });
      cipher.setAAD(context);
      const body = cipher.update(inner === undefined ? plain : inner.seal(plain, context));
      cipher.final();
      const sealed = new Uint8Array(overheadBytes + body.length);
      sealed.set(nonce);
      sealed.set(cipher.getAuthTag(), nonceBytes);
      sealed.set(body, overheadBytes);
      return sealed;
    },
    open(sealed, context) {
      if (sealed.length < overheadBytes) throw tampered('they are too short', undefined);
      const nonce = sealed.subarray(0, nonceBytes);
      const decipher = createDecipheriv(algorithm, own, nonce, { authTagLength: tagBytes });
      decipher.setAAD(context);
      decipher.setAuthTag(sealed.subarray(nonceBytes, overheadBytes));
      const body = decipher.update(sealed.subarray(overheadBytes));
      try {
        decipher.final();
      } catch (cause) {
        throw tampered('they were changed, moved, or sealed under another key', cause);
      }
      const plain = new Uint8Array(body.buffer, body.byteOffset, body.length).slice();
      return inner === undefined ? plain : inner.open(plain, context);
    },
  });
}

/** The overhead of both vaults; undefined if the inner one does not state its own. */
function overheadOf(inner: Vault | undefined): number | undefined {
  if (inner === undefined) return overheadBytes;
  return inner.overheadBytes === undefined ? undefined : inner.overheadBytes + overheadBytes;
}

function tampered(why: string, cause: unknown): VarveError {
  return new VarveError('VARVE_VAULT', `sealed bytes cannot be opened: ${why}`, { cause });
}
