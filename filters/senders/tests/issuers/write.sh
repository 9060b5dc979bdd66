#!/usr/bin/env bash
# Writes issuers.txt: authorities with names of many kinds, each with what openssl shows of it.
# The suite holds the file against the code, and against the openssl of the machine.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl ecparam -name prime256v1 -genkey -noout -out "$work/key.pem"

# authority KIND STRING_TYPES SECTION: the lines of a distinguished_name section, as openssl-req(1) reads them.
# Before a name, a number keeps names apart, and a + puts it into the same part.
authority() {
  printf '[req]\nprompt = no\nutf8 = yes\nstring_mask = %s\ndistinguished_name = name\nx509_extensions = none\n[none]\n[name]\n%s\n' \
    "$2" "$3" > "$work/config"
  openssl req -x509 -new -config "$work/config" -key "$work/key.pem" -days 3650 -out "$work/ca.pem"
  printf '# %s\n' "$1"
  openssl x509 -in "$work/ca.pem" -noout -issuer -nameopt RFC2253
  openssl x509 -in "$work/ca.pem"
}

utf8=utf8only printable=MASK:0x2 bmp=MASK:0x800 teletex=MASK:0x4 default=default
{
  authority "a common name" $utf8 'CN = Payments CA'
  authority "several parts" $utf8 $'C = DE\nST = Berlin\nL = Berlin\nO = Example\nOU = Payments\nCN = Payments CA'
  authority "an e-mail address" $utf8 $'O = Example\nCN = Payments CA\nemailAddress = pki@example.com'
  authority "an umlaut" $utf8 $'O = Exämple\nCN = Payments CA'
  authority "an umlaut in TeletexString" $teletex $'O = Exämple\nCN = Payments CA'
  authority "letters beyond Latin" $utf8 $'O = Пример 例え\nCN = Платежи'
  authority "a BMPString" $bmp $'O = Example\nCN = Payments CA'
  authority "a BMPString with an umlaut" $bmp $'O = Exämple\nCN = Payments CA'
  authority "a PrintableString" $printable $'O = Example\nCN = Payments CA'
  authority "domain components" $default $'1.DC = com\n2.DC = example\nCN = Payments CA'
  authority "a user id" $utf8 $'O = Example\nUID = ca-7\nCN = Payments CA'
  authority "a street and a postal code" $utf8 $'C = DE\npostalCode = 10115\nstreet = Chausseestraße 5\nCN = Payments CA'
  authority "a person" $utf8 $'title = Dr.\nSN = Noether\nGN = Emmy\ninitials = E. N.\nCN = Emmy Noether'
  authority "a serial number" $utf8 $'O = Example\nserialNumber = HRB 123\nCN = Payments CA'
  authority "an organization identifier" $utf8 $'O = Example\norganizationIdentifier = VATDE-123456789\nCN = Payments CA'
  authority "a business" $utf8 $'businessCategory = Private Organization\njurisdictionC = DE\njurisdictionL = Berlin\nO = Example\nCN = Payments CA'
  authority "two attributes in one part" $utf8 $'O = Example\nCN = Payments CA\n+OU = Payments'
  authority "three attributes in one part" $utf8 $'O = Example\nCN = Payments CA\n+OU = Payments\n+serialNumber = 7'
  authority "a tab" $utf8 $'O = Exam\\tple\nCN = Payments CA'
  authority "a line break" $utf8 $'O = Exam\\nple\nCN = Payments CA'
  authority "characters that are escaped" $utf8 $'O = "Example, Inc. + <Sons>; \\\\ \\"x\\""\nCN = "#1 CA"'
  authority "spaces at both ends" $utf8 $'O = " Example "\nCN = Payments CA'
  authority "two spaces within" $utf8 $'O = Example  Inc\nCN = Payments CA'
  authority "an attribute without a name" $utf8 $'O = Example\nx.1.2.3.4.5 = x\nCN = Payments CA'
  authority "a unique identifier" $utf8 $'O = Example\nCN = Payments CA\nx500UniqueIdentifier = 0110'
  authority "a pseudonym and a qualifier" $utf8 $'pseudonym = Nobody\ndnQualifier = q7\ngenerationQualifier = III\nname = n\nCN = Payments CA'
  authority "an equals sign and a slash" $utf8 $'O = a=b/c\nCN = https://ca.example/x?y=z'
  authority "the same attribute twice" $utf8 $'O = Example\n1.OU = Payments\n2.OU = Europe\nCN = Payments CA'
} > issuers.txt
