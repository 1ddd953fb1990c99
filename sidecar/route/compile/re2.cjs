// Loads the regular expression engine when the first pattern needs it: most sidecars never do, and its Unicode tables cost 2 MiB each.
// CommonJS, because only require() is both lazy and synchronous; the bundler keeps it so.
'use strict';

exports.load = () => require('re2js');
