#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# Hashes, sorting, regular expressions, string building; a child process and a pipe.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);

my $words = shift;
my $state = 12345;

sub number {
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return $state >> 8;
}

my (%count, @order);
for my $i (1 .. $words) {
	my $word = join '', map { chr(97 + number() % 26) } 1 .. 3 + number() % 6;
	push @order, $word unless $count{$word}++;
}
print scalar(@order), ' ', sha1_hex(join ' ', @order), "\n";
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } @order;
print "$_ $count{$_}\n" for @sorted[0 .. 4];

my $text = join ' ', @order;
my $vowels = () = $text =~ /[aeiou]{2,}/g;
(my $swapped = $text) =~ s/\b(\w)(\w+)\b/$2$1/g;
print "$vowels ", sha1_hex($swapped), "\n";

open my $pipe, '-|', qw(sh -c), 'for i in 1 2 3; do echo $((i * i)); done' or die;
print map { 2 * $_ . "\n" } <$pipe>;
close $pipe or die;
my $pid = fork // die;
if (!$pid) {
	$_ = reverse $_ for @order;
	print 'child ', sha1_hex(join ' ', @order), "\n";
	exit 0;
}
waitpid $pid, 0;
print 'parent ', sha1_hex(join ' ', @order), "\n";
