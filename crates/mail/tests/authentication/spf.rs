//! SPF, by RFC 7208. A case is the record of `example.com`, the address of the client, and what must come out; names that
//! it refers to are in one zone.

use crate::support::Table;
use postfleet_core::authentication::AuthResult as R;
use postfleet_mail::authentication::spf::{Query, check};

const ZONE: &str = "
example.com A 192.0.2.10
example.com A 192.0.2.11
example.com AAAA 2001:db8::10
example.com MX 10 mx1.example.com
example.com MX 20 mx2.example.com
mx1.example.com A 192.0.2.20
mx1.example.com AAAA 2001:db8::20
mx2.example.com A 192.0.2.21
a.example.net A 198.51.100.1
a.example.net A 198.51.100.2
six.example.net AAAA 2001:db8:1::1
foo:bar/baz.example.net A 192.0.2.1
nullmx.example.net MX 0 .
selfmx.example.net MX 0 selfmx.example.net
selfmx.example.net A 192.0.2.1
lostmx.example.net MX 0 gone.example.net
brokenmx.example.net MX 0 broken.example.net
broken.example.net FAIL
aliasonly.example.net TXT not about mail
pass.example.org TXT v=spf1 +all
fail.example.org TXT v=spf1 -all
soft.example.org TXT v=spf1 ~all
neutral.example.org TXT v=spf1 ?all
empty.example.org TXT v=spf1
some.example.org TXT v=spf1 ip4:192.0.2.1 -all
bad.example.org TXT v=spf1 foo
two.example.org TXT v=spf1 -all
two.example.org TXT v=spf1 +all
text.example.org TXT nothing of interest
loop.example.org TXT v=spf1 include:loop.example.org -all
loopr.example.org TXT v=spf1 redirect=loopr.example.org
void1.example.org TXT v=spf1 a:gone1.example.net -all
deep1.example.org TXT v=spf1 include:deep2.example.org -all
deep2.example.org TXT v=spf1 include:deep3.example.org -all
deep3.example.org TXT v=spf1 ip4:192.0.2.1 -all
redir.example.org TXT v=spf1 redirect=some.example.org
five.example.org TXT v=spf1 a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net -all
ipd.example.org TXT v=spf1 exists:%{d}.d.example.net -all
ipd.example.org.d.example.net A 127.0.0.2
192.0.2.1.ip.example.net A 127.0.0.2
1.2.0.192.rev.example.net A 127.0.0.2
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.rev6.example.net A 127.0.0.2
2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.ip6.example.net A 127.0.0.2
user.l.example.net A 127.0.0.2
user@example.com.s.example.net A 127.0.0.2
example.com.o.example.net A 127.0.0.2
com.d1.example.net A 127.0.0.2
mail.example.com.h.example.net A 127.0.0.2
in-addr.v.example.net A 127.0.0.2
ip6.v6.example.net A 127.0.0.2
one.two.three.lr.example.net A 127.0.0.2
three.two.one.lrr.example.net A 127.0.0.2
three.l1.example.net A 127.0.0.2
user%40x.esc.example.net A 127.0.0.2
%.pct.example.net A 127.0.0.2
example.com.p.example.net A 127.0.0.2
unknown.p.example.net A 127.0.0.2
v6only.exists.example.net AAAA 2001:db8::1
10.2.0.192.in-addr.arpa PTR example.com
20.2.0.192.in-addr.arpa PTR mx1.example.com
30.2.0.192.in-addr.arpa PTR liar.example.com
31.2.0.192.in-addr.arpa FAIL
32.2.0.192.in-addr.arpa PTR broken.example.net
32.2.0.192.in-addr.arpa PTR p32.example.com
p32.example.com A 192.0.2.32
33.2.0.192.in-addr.arpa PTR notexample.com
notexample.com A 192.0.2.33
0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR example.com
";

/// Case, record, client, result.
type Case = (&'static str, &'static str, &'static str, R);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // §4.5, §4.6: which texts are records
    ("no term at all is neutral", "v=spf1", "192.0.2.1", R::Neutral),
    ("the version in any case", "V=SPF1 -all", "192.0.2.1", R::Fail),
    ("space at the end", "v=spf1 -all ", "192.0.2.1", R::Fail),
    ("several spaces between", "v=spf1    -all", "192.0.2.1", R::Fail),
    ("another version is no record", "v=spf10 -all", "192.0.2.1", R::None),
    ("a longer version is no record", "v=spf1x -all", "192.0.2.1", R::None),
    ("the old version is no record", "spf2.0/mfrom -all", "192.0.2.1", R::None),
    ("space before is no record", " v=spf1 -all", "192.0.2.1", R::None),
    ("a tab is no separator", "v=spf1\t-all", "192.0.2.1", R::None),
    ("a tab inside is a mistake", "v=spf1 a\t-all", "192.0.2.1", R::Permerror),
    ("a quote is a mistake", "v=spf1 \"-all\"", "192.0.2.1", R::Permerror),
    ("octets beyond ASCII are a mistake", "v=spf1 a:b\u{fffd}d.example.net -all", "192.0.2.1", R::Permerror),
    ("a control character is a mistake", "v=spf1 a:b\u{1}d.example.net -all", "192.0.2.1", R::Permerror),
    ("an unknown mechanism is a mistake", "v=spf1 foo -all", "192.0.2.1", R::Permerror),
    ("an unknown mechanism with a value", "v=spf1 foo:bar.example.net -all", "192.0.2.1", R::Permerror),
    ("a mistake after the match is one all the same", "v=spf1 +all foo", "192.0.2.1", R::Permerror),
    ("a mistake after all", "v=spf1 -all ip4:bad", "192.0.2.1", R::Permerror),
    ("an unknown modifier is passed over", "v=spf1 x-y.z_1=%{d} -all", "192.0.2.1", R::Fail),
    ("an unknown modifier without a value", "v=spf1 foo= -all", "192.0.2.1", R::Fail),
    ("a modifier whose name begins with a digit", "v=spf1 1x=y -all", "192.0.2.1", R::Permerror),
    ("a modifier without a name", "v=spf1 =y -all", "192.0.2.1", R::Permerror),
    ("a modifier with a bad macro", "v=spf1 foo=%{z} -all", "192.0.2.1", R::Permerror),
    ("a modifier with a bare percent", "v=spf1 foo=100% -all", "192.0.2.1", R::Permerror),
    ("a modifier may use the letters of explanations", "v=spf1 foo=%{c}%{r}%{t} -all", "192.0.2.1", R::Fail),
    ("a modifier with a qualifier is a mechanism", "v=spf1 -redirect=pass.example.org", "192.0.2.1", R::Permerror),
    ("the version again is an unknown modifier", "v=spf1 v=spf1 -all", "192.0.2.1", R::Fail),
    // §5.1 all
    ("all", "v=spf1 all", "192.0.2.1", R::Pass),
    ("plus all", "v=spf1 +all", "192.0.2.1", R::Pass),
    ("minus all", "v=spf1 -all", "192.0.2.1", R::Fail),
    ("tilde all", "v=spf1 ~all", "192.0.2.1", R::Softfail),
    ("question all", "v=spf1 ?all", "192.0.2.1", R::Neutral),
    ("all in capitals", "v=spf1 -ALL", "192.0.2.1", R::Fail),
    ("all for IPv6", "v=spf1 -all", "2001:db8::1", R::Fail),
    ("all with a domain", "v=spf1 -all:example.com", "192.0.2.1", R::Permerror),
    ("all with a length", "v=spf1 -all/8", "192.0.2.1", R::Permerror),
    ("all with a dot", "v=spf1 -all.", "192.0.2.1", R::Permerror),
    ("two qualifiers", "v=spf1 --all", "192.0.2.1", R::Permerror),
    ("what follows all does not matter", "v=spf1 -all +ip4:192.0.2.1", "192.0.2.1", R::Fail),
    // §5.2 include
    ("include that passes", "v=spf1 include:pass.example.org -all", "192.0.2.1", R::Pass),
    ("include that passes, with a qualifier", "v=spf1 ~include:pass.example.org -all", "192.0.2.1", R::Softfail),
    ("include that fails", "v=spf1 include:fail.example.org ~all", "192.0.2.1", R::Softfail),
    ("include that fails softly", "v=spf1 include:soft.example.org -all", "192.0.2.1", R::Fail),
    ("include that is neutral", "v=spf1 include:neutral.example.org -all", "192.0.2.1", R::Fail),
    ("include without terms", "v=spf1 include:empty.example.org -all", "192.0.2.1", R::Fail),
    ("include without a record", "v=spf1 include:text.example.org -all", "192.0.2.1", R::Permerror),
    ("include of nothing", "v=spf1 include:gone.example.org -all", "192.0.2.1", R::Permerror),
    ("include with a mistake", "v=spf1 include:bad.example.org -all", "192.0.2.1", R::Permerror),
    ("include with two records", "v=spf1 include:two.example.org -all", "192.0.2.1", R::Permerror),
    ("include without an answer", "v=spf1 include:broken.example.net -all", "192.0.2.1", R::Temperror),
    ("a match before an include that fails", "v=spf1 ip4:192.0.2.1 include:broken.example.net", "192.0.2.1", R::Pass),
    ("include without a domain", "v=spf1 include -all", "192.0.2.1", R::Permerror),
    ("include with an empty domain", "v=spf1 include: -all", "192.0.2.1", R::Permerror),
    ("include with a length", "v=spf1 include:pass.example.org/24 -all", "192.0.2.1", R::Permerror),
    ("include of one label", "v=spf1 include:localhost -all", "192.0.2.1", R::Permerror),
    ("include in include", "v=spf1 include:deep1.example.org -all", "192.0.2.1", R::Pass),
    ("include in include, another client", "v=spf1 include:deep1.example.org ~all", "192.0.2.2", R::Softfail),
    ("include of a redirect", "v=spf1 include:redir.example.org ~all", "192.0.2.1", R::Pass),
    ("in an include d is the included", "v=spf1 include:ipd.example.org -all", "192.0.2.1", R::Pass),
    ("include of itself", "v=spf1 include:loop.example.org", "192.0.2.1", R::Permerror),
    // §5.3 a
    ("a", "v=spf1 a -all", "192.0.2.10", R::Pass),
    ("a, the second address", "v=spf1 a -all", "192.0.2.11", R::Pass),
    ("a, another address", "v=spf1 a -all", "192.0.2.12", R::Fail),
    ("a in capitals", "v=spf1 A -all", "192.0.2.10", R::Pass),
    ("a for IPv6", "v=spf1 a -all", "2001:db8::10", R::Pass),
    ("a for another IPv6", "v=spf1 a -all", "2001:db8::11", R::Fail),
    ("a for IPv4 in IPv6", "v=spf1 a -all", "::ffff:192.0.2.10", R::Pass),
    ("a with a domain", "v=spf1 a:a.example.net -all", "198.51.100.2", R::Pass),
    ("a with a domain and a dot", "v=spf1 a:a.example.net. -all", "198.51.100.2", R::Pass),
    ("a with a length", "v=spf1 a/24 -all", "192.0.2.200", R::Pass),
    ("a with a length, outside", "v=spf1 a/25 -all", "192.0.2.200", R::Fail),
    ("a with length 0", "v=spf1 a/0 -all", "203.0.113.9", R::Pass),
    ("a with length 0 is not for IPv6", "v=spf1 a/0 -all", "2001:db9::1", R::Fail),
    ("a with length 32", "v=spf1 a/32 -all", "192.0.2.10", R::Pass),
    ("a with length 33", "v=spf1 a/33 -all", "192.0.2.10", R::Permerror),
    ("a with a zero before its length", "v=spf1 a/024 -all", "192.0.2.10", R::Permerror),
    ("a with an empty length", "v=spf1 a/ -all", "192.0.2.10", R::Permerror),
    ("a with a length that is no number", "v=spf1 a/x -all", "192.0.2.10", R::Permerror),
    ("a with a length for IPv6", "v=spf1 a//64 -all", "2001:db8::ffff", R::Pass),
    ("a with length 0 for IPv6", "v=spf1 a//0 -all", "2001:db9::1", R::Pass),
    ("a with length 128 for IPv6", "v=spf1 a//128 -all", "2001:db8::10", R::Pass),
    ("a with length 129 for IPv6", "v=spf1 a//129 -all", "2001:db8::10", R::Permerror),
    ("a with both lengths", "v=spf1 a/24//64 -all", "2001:db8::ffff", R::Pass),
    ("a with both lengths, IPv4", "v=spf1 a/24//64 -all", "192.0.2.200", R::Pass),
    ("a with a domain and both lengths", "v=spf1 a:six.example.net/24//48 -all", "2001:db8:1:2::3", R::Pass),
    ("a with an empty domain", "v=spf1 a: -all", "192.0.2.10", R::Permerror),
    ("a with one label", "v=spf1 a:museum -all", "192.0.2.10", R::Permerror),
    ("a with one label and a dot", "v=spf1 a:museum. -all", "192.0.2.10", R::Permerror),
    ("a with an address", "v=spf1 a:192.0.2.10 -all", "192.0.2.10", R::Permerror),
    ("a with a number as top label", "v=spf1 a:example.1 -all", "192.0.2.10", R::Permerror),
    ("a with a dash in its top label", "v=spf1 a:example.xn--zz -all", "192.0.2.10", R::Fail),
    ("a with a dash at the end of its top label", "v=spf1 a:example.com- -all", "192.0.2.10", R::Permerror),
    ("a with a port", "v=spf1 a:example.com:8080 -all", "192.0.2.10", R::Permerror),
    ("a with colons and slashes in its domain", "v=spf1 a:foo:bar/baz.example.net -all", "192.0.2.1", R::Pass),
    ("a with an empty label", "v=spf1 a:x..example.net -all", "192.0.2.1", R::Fail),
    ("a of nothing", "v=spf1 a:gone.example.net -all", "192.0.2.10", R::Fail),
    ("a of what has other records", "v=spf1 a:aliasonly.example.net -all", "192.0.2.10", R::Fail),
    ("a without an answer", "v=spf1 a:broken.example.net -all", "192.0.2.10", R::Temperror),
    ("a with an equals sign", "v=spf1 a=192.0.2.10 -all", "192.0.2.10", R::Fail),
    // §5.4 mx
    ("mx", "v=spf1 mx -all", "192.0.2.20", R::Pass),
    ("mx, the second", "v=spf1 mx -all", "192.0.2.21", R::Pass),
    ("mx for IPv6", "v=spf1 mx -all", "2001:db8::20", R::Pass),
    ("mx, another address", "v=spf1 mx -all", "192.0.2.22", R::Fail),
    ("mx is not the address of the domain", "v=spf1 mx -all", "192.0.2.10", R::Fail),
    ("mx with a domain", "v=spf1 mx:selfmx.example.net -all", "192.0.2.1", R::Pass),
    ("mx with a length", "v=spf1 mx/28 -all", "192.0.2.30", R::Pass),
    ("mx with a domain and a length", "v=spf1 mx:selfmx.example.net/24 -all", "192.0.2.77", R::Pass),
    ("mx with both lengths", "v=spf1 mx/24//96 -all", "2001:db8::77", R::Pass),
    ("mx without records does not look at the address", "v=spf1 mx:a.example.net -all", "198.51.100.1", R::Fail),
    ("mx that is null", "v=spf1 mx:nullmx.example.net -all", "192.0.2.1", R::Fail),
    ("mx whose server is gone", "v=spf1 mx:lostmx.example.net -all", "192.0.2.1", R::Fail),
    ("mx whose server has no answer", "v=spf1 mx:brokenmx.example.net -all", "192.0.2.1", R::Temperror),
    ("mx without an answer", "v=spf1 mx:broken.example.net -all", "192.0.2.1", R::Temperror),
    ("mx with an empty domain", "v=spf1 mx: -all", "192.0.2.1", R::Permerror),
    ("mx with a bad length", "v=spf1 mx/33 -all", "192.0.2.1", R::Permerror),
    // §5.5 ptr
    ("ptr", "v=spf1 ptr -all", "192.0.2.10", R::Pass),
    ("ptr below the domain", "v=spf1 ptr -all", "192.0.2.20", R::Pass),
    ("ptr for IPv6", "v=spf1 ptr -all", "2001:db8::10", R::Pass),
    ("ptr with a domain", "v=spf1 ptr:mx1.example.com -all", "192.0.2.20", R::Pass),
    ("ptr with another domain", "v=spf1 ptr:example.net -all", "192.0.2.20", R::Fail),
    ("ptr that does not lead back", "v=spf1 ptr -all", "192.0.2.30", R::Fail),
    ("ptr without an answer", "v=spf1 ptr ~all", "192.0.2.31", R::Softfail),
    ("ptr with one name that has no answer", "v=spf1 ptr -all", "192.0.2.32", R::Pass),
    ("ptr of a longer name", "v=spf1 ptr -all", "192.0.2.33", R::Fail),
    ("ptr without names", "v=spf1 ptr -all", "192.0.2.99", R::Fail),
    ("ptr with an empty domain", "v=spf1 ptr: -all", "192.0.2.10", R::Permerror),
    ("ptr with a length", "v=spf1 ptr/24 -all", "192.0.2.10", R::Permerror),
    // §5.6 ip4, ip6
    ("ip4", "v=spf1 ip4:192.0.2.1 -all", "192.0.2.1", R::Pass),
    ("ip4, another", "v=spf1 ip4:192.0.2.1 -all", "192.0.2.2", R::Fail),
    ("ip4 with a length", "v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.255", R::Pass),
    ("ip4 with a length, outside", "v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.0", R::Fail),
    ("ip4 whose network has more bits", "v=spf1 ip4:192.0.2.77/24 -all", "192.0.2.1", R::Pass),
    ("ip4 with length 0", "v=spf1 ip4:0.0.0.0/0 -all", "203.0.113.9", R::Pass),
    ("ip4 with length 0 is not for IPv6", "v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1", R::Fail),
    ("ip4 with length 31", "v=spf1 ip4:192.0.2.0/31 -all", "192.0.2.1", R::Pass),
    ("ip4 with length 33", "v=spf1 ip4:192.0.2.1/33 -all", "192.0.2.1", R::Permerror),
    ("ip4 with a zero before its length", "v=spf1 ip4:192.0.2.1/032 -all", "192.0.2.1", R::Permerror),
    ("ip4 with an empty length", "v=spf1 ip4:192.0.2.1/ -all", "192.0.2.1", R::Permerror),
    ("ip4 with two lengths", "v=spf1 ip4:192.0.2.1/24//64 -all", "192.0.2.1", R::Permerror),
    ("ip4 with three numbers", "v=spf1 ip4:192.0.2 -all", "192.0.2.1", R::Permerror),
    ("ip4 beyond 255", "v=spf1 ip4:192.0.2.256 -all", "192.0.2.1", R::Permerror),
    ("ip4 with a port", "v=spf1 ip4:192.0.2.1:25 -all", "192.0.2.1", R::Permerror),
    ("ip4 without an address", "v=spf1 ip4 -all", "192.0.2.1", R::Permerror),
    ("ip4 with an empty address", "v=spf1 ip4: -all", "192.0.2.1", R::Permerror),
    ("ip4 with a macro", "v=spf1 ip4:%{i} -all", "192.0.2.1", R::Permerror),
    ("ip4 for IPv4 in IPv6", "v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1", R::Pass),
    ("ip6", "v=spf1 ip6:2001:db8::1 -all", "2001:db8::1", R::Pass),
    ("ip6 in capitals", "v=spf1 IP6:2001:DB8::1 -all", "2001:db8::1", R::Pass),
    ("ip6 with a length", "v=spf1 ip6:2001:db8::/32 -all", "2001:db8:ffff::1", R::Pass),
    ("ip6 with a length, outside", "v=spf1 ip6:2001:db8::/32 -all", "2001:db9::1", R::Fail),
    ("ip6 with length 0", "v=spf1 ip6:::/0 -all", "2001:db9::1", R::Pass),
    ("ip6 with length 0 is not for IPv4", "v=spf1 ip6:::/0 -all", "192.0.2.1", R::Fail),
    ("ip6 with IPv4 in it is not for IPv4", "v=spf1 ip6:::ffff:192.0.2.1 -all", "192.0.2.1", R::Fail),
    ("ip6 with length 129", "v=spf1 ip6:2001:db8::1/129 -all", "2001:db8::1", R::Permerror),
    ("ip6 with an IPv4 address", "v=spf1 ip6:192.0.2.1 -all", "192.0.2.1", R::Permerror),
    ("ip6 with two double colons", "v=spf1 ip6:2001::db8::1 -all", "2001:db8::1", R::Permerror),
    ("ip6 with a length for each", "v=spf1 ip6:2001:db8::1//33 -all", "2001:db8::1", R::Permerror),
    ("ip6 without an address", "v=spf1 ip6: -all", "2001:db8::1", R::Permerror),
    // §5.7 exists
    ("exists", "v=spf1 exists:a.example.net -all", "192.0.2.1", R::Pass),
    ("exists for IPv6 asks for IPv4", "v=spf1 exists:a.example.net -all", "2001:db8::1", R::Pass),
    ("exists with IPv6 only", "v=spf1 exists:v6only.exists.example.net -all", "2001:db8::1", R::Fail),
    ("exists of nothing", "v=spf1 exists:gone.example.net -all", "192.0.2.1", R::Fail),
    ("exists without an answer", "v=spf1 exists:broken.example.net -all", "192.0.2.1", R::Temperror),
    ("exists without a domain", "v=spf1 exists -all", "192.0.2.1", R::Permerror),
    ("exists with an empty domain", "v=spf1 exists: -all", "192.0.2.1", R::Permerror),
    ("exists with a length", "v=spf1 exists:a.example.net/24 -all", "192.0.2.1", R::Permerror),
    // §6.1 redirect
    ("redirect", "v=spf1 redirect=some.example.org", "192.0.2.1", R::Pass),
    ("redirect, another client", "v=spf1 redirect=some.example.org", "192.0.2.2", R::Fail),
    ("redirect after what does not match", "v=spf1 ip4:192.0.2.9 redirect=soft.example.org", "192.0.2.1", R::Softfail),
    ("redirect that is not reached", "v=spf1 redirect=fail.example.org ip4:192.0.2.1", "192.0.2.1", R::Pass),
    ("redirect beside all", "v=spf1 redirect=pass.example.org -all", "192.0.2.1", R::Fail),
    ("redirect in capitals", "v=spf1 REDIRECT=soft.example.org", "192.0.2.1", R::Softfail),
    ("redirect to no record", "v=spf1 redirect=text.example.org", "192.0.2.1", R::Permerror),
    ("redirect to nothing", "v=spf1 redirect=gone.example.org", "192.0.2.1", R::Permerror),
    ("redirect to a mistake", "v=spf1 redirect=bad.example.org", "192.0.2.1", R::Permerror),
    ("redirect without an answer", "v=spf1 redirect=broken.example.net", "192.0.2.1", R::Temperror),
    ("redirect without a domain", "v=spf1 redirect=", "192.0.2.1", R::Permerror),
    ("redirect twice", "v=spf1 redirect=soft.example.org redirect=soft.example.org", "192.0.2.1", R::Permerror),
    ("redirect with a colon", "v=spf1 redirect:soft.example.org", "192.0.2.1", R::Permerror),
    ("redirect to itself", "v=spf1 redirect=loopr.example.org", "192.0.2.1", R::Permerror),
    ("redirect to a redirect", "v=spf1 redirect=redir.example.org", "192.0.2.1", R::Pass),
    // §6.2 exp
    ("exp changes nothing", "v=spf1 -all exp=why.example.org", "192.0.2.1", R::Fail),
    ("exp without a domain", "v=spf1 -all exp=", "192.0.2.1", R::Permerror),
    ("exp twice", "v=spf1 -all exp=a.example.org exp=b.example.org", "192.0.2.1", R::Permerror),
    ("exp with a bad macro", "v=spf1 -all exp=%{q}.example.org", "192.0.2.1", R::Permerror),
    // §7 macros
    ("i", "v=spf1 exists:%{i}.ip.example.net -all", "192.0.2.1", R::Pass),
    ("i reversed", "v=spf1 exists:%{ir}.rev.example.net -all", "192.0.2.1", R::Pass),
    ("i of IPv6", "v=spf1 exists:%{i}.ip6.example.net -all", "2001:db8::1", R::Pass),
    ("i of IPv6 reversed", "v=spf1 exists:%{ir}.rev6.example.net -all", "2001:db8::1", R::Pass),
    ("l", "v=spf1 exists:%{l}.l.example.net -all", "192.0.2.1", R::Pass),
    ("s", "v=spf1 exists:%{s}.s.example.net -all", "192.0.2.1", R::Pass),
    ("o", "v=spf1 exists:%{o}.o.example.net -all", "192.0.2.1", R::Pass),
    ("d with one label", "v=spf1 exists:%{d1}.d1.example.net -all", "192.0.2.1", R::Pass),
    ("d with more labels than there are", "v=spf1 exists:%{d99}.o.example.net -all", "192.0.2.1", R::Pass),
    ("d with no label", "v=spf1 exists:%{d0}.d1.example.net -all", "192.0.2.1", R::Permerror),
    ("h", "v=spf1 exists:%{h}.h.example.net -all", "192.0.2.1", R::Pass),
    ("v", "v=spf1 exists:%{v}.v.example.net -all", "192.0.2.1", R::Pass),
    ("v of IPv6", "v=spf1 exists:%{v}.v6.example.net -all", "2001:db8::1", R::Pass),
    ("p", "v=spf1 exists:%{p}.p.example.net -all", "192.0.2.10", R::Pass),
    ("p of an unknown client", "v=spf1 exists:%{p}.p.example.net -all", "192.0.2.99", R::Pass),
    ("p of a liar", "v=spf1 exists:%{p}.p.example.net -all", "192.0.2.30", R::Pass),
    ("a macro letter in capitals escapes", "v=spf1 exists:%{D}.o.example.net -all", "192.0.2.1", R::Pass),
    ("a percent sign", "v=spf1 exists:%%.pct.example.net -all", "192.0.2.1", R::Pass),
    ("a macro as all of the domain", "v=spf1 a:%{o} -all", "192.0.2.10", R::Pass),
    ("c is for explanations", "v=spf1 exists:%{c}.example.net -all", "192.0.2.1", R::Permerror),
    ("r is for explanations", "v=spf1 exists:%{r}.example.net -all", "192.0.2.1", R::Permerror),
    ("t is for explanations", "v=spf1 exists:%{t}.example.net -all", "192.0.2.1", R::Permerror),
    ("an unknown letter", "v=spf1 exists:%{x}.example.net -all", "192.0.2.1", R::Permerror),
    ("a macro without an end", "v=spf1 exists:%{d.example.net -all", "192.0.2.1", R::Permerror),
    ("a macro without a letter", "v=spf1 exists:%{}.example.net -all", "192.0.2.1", R::Permerror),
    ("a percent sign before another letter", "v=spf1 exists:%a.example.net -all", "192.0.2.1", R::Permerror),
    ("a percent sign at the end", "v=spf1 exists:example.net% -all", "192.0.2.1", R::Permerror),
    ("a delimiter that is none", "v=spf1 exists:%{l*}.example.net -all", "192.0.2.1", R::Permerror),
    ("r before the digits", "v=spf1 exists:%{dr1}.example.net -all", "192.0.2.1", R::Permerror),
    // §4.6.4 limits
    ("ten lookups", "v=spf1 a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a -all", "192.0.2.10", R::Pass),
    ("eleven lookups", "v=spf1 a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a:a.example.net a -all", "192.0.2.10", R::Permerror),
    ("a match before the eleventh", "v=spf1 a a a a a a a a a a a a", "192.0.2.10", R::Pass),
    ("lookups are counted in includes", "v=spf1 include:five.example.org a:a.example.net a:a.example.net a:a.example.net a -all", "192.0.2.10", R::Pass),
    ("lookups are counted in includes, one more", "v=spf1 include:five.example.org a:a.example.net a:a.example.net a:a.example.net a:a.example.net a -all", "192.0.2.10", R::Permerror),
    ("redirect is counted", "v=spf1 include:five.example.org a:a.example.net a:a.example.net a:a.example.net a:a.example.net redirect=pass.example.org", "192.0.2.1", R::Permerror),
    ("terms without lookups are not counted", "v=spf1 ip4:192.0.2.2 ip4:192.0.2.3 ip4:192.0.2.4 ip4:192.0.2.5 ip4:192.0.2.6 ip4:192.0.2.7 ip4:192.0.2.8 ip4:192.0.2.9 ip4:192.0.2.12 ip4:192.0.2.13 ip4:192.0.2.14 ip4:192.0.2.1 -all", "192.0.2.1", R::Pass),
    ("two lookups in vain", "v=spf1 a:gone1.example.net a:gone2.example.net -all", "192.0.2.1", R::Fail),
    ("three lookups in vain", "v=spf1 a:gone1.example.net a:gone2.example.net a:gone3.example.net -all", "192.0.2.1", R::Permerror),
    ("three lookups in vain of different kinds", "v=spf1 a:gone1.example.net mx:gone2.example.net exists:gone3.example.net -all", "192.0.2.1", R::Permerror),
    ("lookups in vain are counted in includes", "v=spf1 include:void1.example.org a:gone2.example.net a:gone3.example.net -all", "192.0.2.1", R::Permerror),
    ("no record of the family is in vain", "v=spf1 a:six.example.net a:six.example.net a:six.example.net -all", "192.0.2.1", R::Permerror),
    ("ten mail exchangers", "v=spf1 mx:ten.example.net -all", "192.0.2.109", R::Pass),
    ("eleven mail exchangers", "v=spf1 mx:eleven.example.net -all", "192.0.2.100", R::Permerror),
    ("the tenth name of an address", "v=spf1 ptr:p9.example.net -all", "192.0.2.40", R::Pass),
    ("the eleventh name of an address", "v=spf1 ptr:p10.example.net -all", "192.0.2.40", R::Fail),
];

fn zone() -> Table {
    let mut zone = Table::new(ZONE);
    for number in 0..11 {
        if number < 10 {
            zone.add(&format!("ten.example.net MX 10 m{number}.example.net"));
        }
        zone.add(&format!("eleven.example.net MX 10 m{number}.example.net"));
        zone.add(&format!("m{number}.example.net A 192.0.2.{}", 100 + number));
        zone.add(&format!("40.2.0.192.in-addr.arpa PTR p{number}.example.net"));
        zone.add(&format!("p{number}.example.net A 192.0.2.40"));
    }
    zone
}

#[test]
fn records() {
    let zone = zone();
    let mut failed = Vec::new();
    for (name, record, ip, expected) in CASES {
        let mut dns = zone.clone();
        dns.add(&format!("example.com TXT {record}"));
        let query = Query { ip: ip.parse().expect(ip), helo: "mail.example.com", local: "user", domain: "example.com" };
        let found = check(&dns, &query).expect("everything is known");
        if found.result != *expected {
            failed.push(format!("{name}: {:?} ({}), expected {expected:?}", found.result, found.reason));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("SPF: {} of {} cases of records", CASES.len(), CASES.len());
    assert!(CASES.len() >= 150);
}

/// Case, sender's local part, domain, HELO, zone, result.
type SenderCase = (&'static str, (&'static str, &'static str, &'static str), &'static [&'static str], R);

#[rustfmt::skip]
const SENDERS: &[SenderCase] = &[
    ("no domain at all", ("u", "", "h.example.com"), &[], R::None),
    ("one label", ("u", "localhost", "h.example.com"), &["localhost TXT v=spf1 -all"], R::None),
    ("a domain that does not exist", ("u", "gone.example", "h.example.com"), &[], R::None),
    ("a domain without an answer", ("u", "b.example", "h.example.com"), &["b.example FAIL"], R::Temperror),
    ("texts of others are passed over", ("u", "b.example", "h.example.com"), &["b.example TXT x", "b.example TXT v=spf1 -all"], R::Fail),
    ("two records", ("u", "b.example", "h.example.com"), &["b.example TXT v=spf1 -all", "b.example TXT v=spf1 -all"], R::Permerror),
    ("a dot at the end", ("u", "b.example.", "h.example.com"), &["b.example TXT v=spf1 -all"], R::Fail),
    ("capitals", ("u", "B.Example", "h.example.com"), &["b.example TXT v=spf1 -all"], R::Fail),
    ("a label that is too long", ("u", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", "h.example.com"), &[], R::None),
    ("an empty label", ("u", "a..example", "h.example.com"), &[], R::None),
    ("an address in brackets as HELO", ("", "[192.0.2.1]", "[192.0.2.1]"), &[], R::None),
    ("no local part is postmaster", ("", "b.example", "b.example"), &["b.example TXT v=spf1 exists:%{l}.l.example -all", "postmaster.l.example A 127.0.0.1"], R::Pass),
    ("a local part with delimiters", ("one-two-three", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l-}.x.example -all", "one.two.three.x.example A 127.0.0.1"], R::Pass),
    ("a local part reversed", ("one-two-three", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{lr-}.x.example -all", "three.two.one.x.example A 127.0.0.1"], R::Pass),
    ("the last part of a local part", ("one-two-three", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l1-}.x.example -all", "three.x.example A 127.0.0.1"], R::Pass),
    ("a local part reversed and cut", ("one-two-three", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l1r-}.x.example -all", "one.x.example A 127.0.0.1"], R::Pass),
    ("several delimiters", ("a+b=c", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l+=}.x.example -all", "a.b.c.x.example A 127.0.0.1"], R::Pass),
    ("a local part escaped", ("a/b", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{L}.x.example -all", "a%2fb.x.example A 127.0.0.1"], R::Pass),
    ("a name too long loses its first labels", ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l}.x.example -all", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x.example A 127.0.0.1"], R::Pass),
    ("HELO that is no name does not match", ("u", "b.example", "[192.0.2.1]"), &["b.example TXT v=spf1 exists:%{h}.x.example -all"], R::Fail),
    ("a space in a local part is no name", ("a b", "b.example", "h.example"), &["b.example TXT v=spf1 exists:%{l}.x.example -all"], R::Fail),
];

#[test]
fn senders() {
    for (name, (local, domain, helo), zone, expected) in SENDERS {
        let mut dns = Table::default();
        zone.iter().for_each(|line| dns.add(line));
        let query = Query { ip: "192.0.2.1".parse().expect("address"), helo, local, domain };
        let found = check(&dns, &query).expect("everything is known");
        assert_eq!(found.result, *expected, "{name}: {}", found.reason);
    }
    println!("SPF: {} of {} cases of senders", SENDERS.len(), SENDERS.len());
}
