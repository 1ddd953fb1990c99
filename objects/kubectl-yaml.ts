// YAML as kubectl and Helm read it: version 1.1 (`0400` is octal, `yes` is true), less what their parser does not have or what is no JSON.
import type { DocumentOptions, ParseOptions, SchemaOptions } from 'yaml';

const FOREIGN_TAGS = /:(timestamp|binary|set|omap|pairs)$/;

/** For the functions and classes of the package yaml. */
export const KUBECTL_YAML: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || (!FOREIGN_TAGS.test(tag.tag) && tag.format !== 'TIME')),
};
