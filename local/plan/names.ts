// Names of the pods that stand for a Deployment: like the cluster's, but the same in every run.
import { createHash } from 'node:crypto';

// Kubernetes' own alphabet for generated names: no vowels, so no words.
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** `length` characters that depend on the text alone. */
export function shortHash(text: string, length: number): string {
  const digest = createHash('sha256').update(text).digest();
  let out = '';
  for (let i = 0; i < length; i++) out += ALPHABET[digest[i] % ALPHABET.length];
  return out;
}

/** Identifies a pod template's content: the same whatever the order of keys in the file. */
export function templateHash(template: unknown): string {
  return shortHash(canonical(template), 5);
}

/**
 * "<deployment>-<template hash>-<replica hash>", e.g. payment-v1-6c9f4-x2k8q. A changed template gives other names, as
 * in a cluster.
 */
export function podName(deployment: string, hash: string, replica: number): string {
  return `${deployment}-${hash}-${shortHash(`${deployment}/${hash}/${replica}`, 5)}`;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
