// Methods of Node's Buffer that exist at run time and are missing from @types/node: the fastest way between octets and
// latin1 strings.
interface Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(value: string, offset: number): number;
}
