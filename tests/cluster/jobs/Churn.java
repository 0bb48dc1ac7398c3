// SPDX-License-Identifier: GPL-2.0
// Garbage collection at work: three threads that keep and drop linked objects.
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Random;

public class Churn {
	record Item(int key, byte[] data, Item next) {}

	static long work(int seed, int rounds) {
		Random random = new Random(seed);
		HashMap<Integer, Item> live = new HashMap<>();
		long sum = 0;
		for (int i = 0; i < rounds; i++) {
			int key = random.nextInt(4000);
			byte[] data = new byte[random.nextInt(1500)];
			random.nextBytes(data);
			Item old = live.get(random.nextInt(4000));
			Item next = old == null ? null : new Item(old.key, old.data, null);
			live.put(key, new Item(key, data, next));
			if (i % 3 == 0)
				live.remove(random.nextInt(4000));
		}
		int[] keys = live.keySet().stream().mapToInt(k -> k).sorted().toArray();
		for (int key : keys) {
			Item item = live.get(key);
			sum = sum * 31 + Arrays.hashCode(item.data);
			if (item.next != null)
				sum = sum * 31 + Arrays.hashCode(item.next.data);
		}
		return sum;
	}

	public static void main(String[] args) throws Exception {
		int rounds = Integer.parseInt(args[0]);
		long[] sums = new long[3];
		List<Thread> threads = new ArrayList<>();
		for (int i = 0; i < sums.length; i++) {
			int seed = i;
			threads.add(new Thread(() -> sums[seed] = work(seed, rounds)));
		}
		for (Thread thread : threads)
			thread.start();
		for (Thread thread : threads)
			thread.join();
		System.out.println(Arrays.toString(sums));
		System.gc();
		StringBuilder text = new StringBuilder();
		for (int i = 0; i < rounds; i++)
			text.append(Integer.toHexString(i * 0x9e3779b9));
		System.out.println(text.toString().hashCode());
	}
}
