/**
 * The emoji of the built-in data set with their names: what the captions say, and what a set drawn in the font of the
 * machine at hand is drawn from. Names are the English short names of Unicode CLDR (Unicode License v3), in the
 * order of emojibase-data 17 (Miles Johnson, MIT).
 */

export interface NamedEmoji {
  readonly emoji: string;
  readonly name: string;
}

/** "emoji name", divided by semicolons. */
const list = `
😀 grinning face; 😃 grinning face with big eyes; 😄 grinning face with smiling eyes;
😁 beaming face with smiling eyes; 😆 grinning squinting face; 😅 grinning face with sweat;
🤣 rolling on the floor laughing; 😂 face with tears of joy; 🙂 slightly smiling face; 🙃 upside-down face;
🫠 melting face; 😉 winking face; 😊 smiling face with smiling eyes; 😇 smiling face with halo;
🥰 smiling face with hearts; 😍 smiling face with heart-eyes; 🤩 star-struck; 😘 face blowing a kiss;
😗 kissing face; ☺️ smiling face; 😚 kissing face with closed eyes; 😙 kissing face with smiling eyes;
🥲 smiling face with tear; 😋 face savoring food; 😛 face with tongue; 😜 winking face with tongue;
🤪 zany face; 😝 squinting face with tongue; 🤑 money-mouth face; 🤗 smiling face with open hands;
🤭 face with hand over mouth; 🫢 face with open eyes and hand over mouth; 🫣 face with peeking eye;
🤫 shushing face; 🤔 thinking face; 🫡 saluting face; 🤐 zipper-mouth face; 🤨 face with raised eyebrow;
😐 neutral face; 😑 expressionless face; 😶 face without mouth; 🫥 dotted line face; 😶‍🌫️ face in clouds;
😏 smirking face; 😒 unamused face; 🙄 face with rolling eyes; 😬 grimacing face; 😮‍💨 face exhaling;
🤥 lying face; 🫨 shaking face; 🙂‍↔️ head shaking horizontally; 🙂‍↕️ head shaking vertically;
😌 relieved face; 😔 pensive face; 😪 sleepy face; 🤤 drooling face; 😴 sleeping face;
🫩 face with bags under eyes; 😷 face with medical mask; 🤒 face with thermometer; 🤕 face with head-bandage;
🤢 nauseated face; 🤮 face vomiting; 🤧 sneezing face; 🥵 hot face; 🥶 cold face; 🥴 woozy face;
😵 face with crossed-out eyes; 😵‍💫 face with spiral eyes; 🤯 exploding head; 🤠 cowboy hat face;
🥳 partying face; 🥸 disguised face; 😎 smiling face with sunglasses; 🤓 nerd face; 🧐 face with monocle;
😕 confused face; 🫤 face with diagonal mouth; 😟 worried face; 🙁 slightly frowning face; ☹️ frowning face;
😮 face with open mouth; 😯 hushed face; 😲 astonished face; 😳 flushed face; 🫪 distorted face;
🥺 pleading face; 🥹 face holding back tears; 😦 frowning face with open mouth; 😧 anguished face;
😨 fearful face; 😰 anxious face with sweat; 😥 sad but relieved face; 😢 crying face; 😭 loudly crying face;
😱 face screaming in fear; 😖 confounded face; 😣 persevering face; 😞 disappointed face;
😓 downcast face with sweat; 😩 weary face; 😫 tired face; 🥱 yawning face; 😤 face with steam from nose;
😡 enraged face; 😠 angry face; 🤬 face with symbols on mouth; 😈 smiling face with horns;
👿 angry face with horns; 💀 skull; ☠️ skull and crossbones; 💩 pile of poo; 🤡 clown face; 👹 ogre; 👺 goblin;
👻 ghost; 👽 alien; 👾 alien monster; 🤖 robot; 😺 grinning cat; 😸 grinning cat with smiling eyes;
😹 cat with tears of joy; 😻 smiling cat with heart-eyes; 😼 cat with wry smile; 😽 kissing cat; 🙀 weary cat;
😿 crying cat; 😾 pouting cat; 🙈 see-no-evil monkey; 🙉 hear-no-evil monkey; 🙊 speak-no-evil monkey;
💌 love letter; 💘 heart with arrow; 💝 heart with ribbon; 💖 sparkling heart; 💗 growing heart;
💓 beating heart; 💞 revolving hearts; 💕 two hearts; 💟 heart decoration; ❣️ heart exclamation;
💔 broken heart; ❤️‍🔥 heart on fire; ❤️‍🩹 mending heart; ❤️ red heart; 🩷 pink heart; 🧡 orange heart;
💛 yellow heart; 💚 green heart; 💙 blue heart; 🩵 light blue heart; 💜 purple heart; 🤎 brown heart;
🖤 black heart; 🩶 grey heart; 🤍 white heart; 💋 kiss mark; 💯 hundred points; 💢 anger symbol; 🫯 fight cloud;
💥 collision; 💫 dizzy; 💦 sweat droplets; 💨 dashing away; 🕳️ hole; 💬 speech balloon;
👁️‍🗨️ eye in speech bubble; 🗨️ left speech bubble; 🗯️ right anger bubble; 💭 thought balloon; 💤 ZZZ;
🐵 monkey face; 🐒 monkey; 🦍 gorilla; 🦧 orangutan; 🐶 dog face; 🐕 dog; 🦮 guide dog; 🐕‍🦺 service dog;
🐩 poodle; 🐺 wolf; 🦊 fox; 🦝 raccoon; 🐱 cat face; 🐈 cat; 🐈‍⬛ black cat; 🦁 lion; 🐯 tiger face; 🐅 tiger;
🐆 leopard; 🐴 horse face; 🫎 moose; 🫏 donkey; 🐎 horse; 🦄 unicorn; 🦓 zebra; 🦌 deer; 🦬 bison; 🐮 cow face;
🐂 ox; 🐃 water buffalo; 🐄 cow; 🐷 pig face; 🐖 pig; 🐗 boar; 🐽 pig nose; 🐏 ram; 🐑 ewe; 🐐 goat; 🐪 camel;
🐫 two-hump camel; 🦙 llama; 🦒 giraffe; 🐘 elephant; 🦣 mammoth; 🦏 rhinoceros; 🦛 hippopotamus; 🐭 mouse face;
🐁 mouse; 🐀 rat; 🐹 hamster; 🐰 rabbit face; 🐇 rabbit; 🐿️ chipmunk; 🦫 beaver; 🦔 hedgehog; 🦇 bat; 🐻 bear;
🐻‍❄️ polar bear; 🐨 koala; 🐼 panda; 🦥 sloth; 🦦 otter; 🦨 skunk; 🦘 kangaroo; 🦡 badger; 🐾 paw prints;
🦃 turkey; 🐔 chicken; 🐓 rooster; 🐣 hatching chick; 🐤 baby chick; 🐥 front-facing baby chick; 🐦 bird;
🐧 penguin; 🕊️ dove; 🦅 eagle; 🦆 duck; 🦢 swan; 🦉 owl; 🦤 dodo; 🪶 feather; 🦩 flamingo; 🦚 peacock; 🦜 parrot;
🪽 wing; 🐦‍⬛ black bird; 🪿 goose; 🐦‍🔥 phoenix; 🐸 frog; 🐊 crocodile; 🐢 turtle; 🦎 lizard; 🐍 snake;
🐲 dragon face; 🐉 dragon; 🦕 sauropod; 🦖 T-Rex; 🐳 spouting whale; 🐋 whale; 🐬 dolphin; 🫍 orca; 🦭 seal;
🐟 fish; 🐠 tropical fish; 🐡 blowfish; 🦈 shark; 🐙 octopus; 🐚 spiral shell; 🪸 coral; 🪼 jellyfish; 🦀 crab;
🦞 lobster; 🦐 shrimp; 🦑 squid; 🦪 oyster; 🐌 snail; 🦋 butterfly; 🐛 bug; 🐜 ant; 🐝 honeybee; 🪲 beetle;
🐞 lady beetle; 🦗 cricket; 🪳 cockroach; 🕷️ spider; 🕸️ spider web; 🦂 scorpion; 🦟 mosquito; 🪰 fly; 🪱 worm;
🦠 microbe; 💐 bouquet; 🌸 cherry blossom; 💮 white flower; 🪷 lotus; 🏵️ rosette; 🌹 rose; 🥀 wilted flower;
🌺 hibiscus; 🌻 sunflower; 🌼 blossom; 🌷 tulip; 🪻 hyacinth; 🌱 seedling; 🪴 potted plant; 🌲 evergreen tree;
🌳 deciduous tree; 🌴 palm tree; 🌵 cactus; 🌾 sheaf of rice; 🌿 herb; ☘️ shamrock; 🍀 four leaf clover;
🍁 maple leaf; 🍂 fallen leaf; 🍃 leaf fluttering in wind; 🪹 empty nest; 🪺 nest with eggs; 🍄 mushroom;
🪾 leafless tree; 🍇 grapes; 🍈 melon; 🍉 watermelon; 🍊 tangerine; 🍋 lemon; 🍋‍🟩 lime; 🍌 banana; 🍍 pineapple;
🥭 mango; 🍎 red apple; 🍏 green apple; 🍐 pear; 🍑 peach; 🍒 cherries; 🍓 strawberry; 🫐 blueberries;
🥝 kiwi fruit; 🍅 tomato; 🫒 olive; 🥥 coconut; 🥑 avocado; 🍆 eggplant; 🥔 potato; 🥕 carrot; 🌽 ear of corn;
🌶️ hot pepper; 🫑 bell pepper; 🥒 cucumber; 🥬 leafy green; 🥦 broccoli; 🧄 garlic; 🧅 onion; 🥜 peanuts;
🫘 beans; 🌰 chestnut; 🫚 ginger root; 🫛 pea pod; 🍄‍🟫 brown mushroom; 🫜 root vegetable; 🍞 bread;
🥐 croissant; 🥖 baguette bread; 🫓 flatbread; 🥨 pretzel; 🥯 bagel; 🥞 pancakes; 🧇 waffle; 🧀 cheese wedge;
🍖 meat on bone; 🍗 poultry leg; 🥩 cut of meat; 🥓 bacon; 🍔 hamburger; 🍟 french fries; 🍕 pizza; 🌭 hot dog;
🥪 sandwich; 🌮 taco; 🌯 burrito; 🫔 tamale; 🥙 stuffed flatbread; 🧆 falafel; 🥚 egg; 🍳 cooking;
🥘 shallow pan of food; 🍲 pot of food; 🫕 fondue; 🥣 bowl with spoon; 🥗 green salad; 🍿 popcorn; 🧈 butter;
🧂 salt; 🥫 canned food; 🍱 bento box; 🍘 rice cracker; 🍙 rice ball; 🍚 cooked rice; 🍛 curry rice;
🍜 steaming bowl; 🍝 spaghetti; 🍠 roasted sweet potato; 🍢 oden; 🍣 sushi; 🍤 fried shrimp;
🍥 fish cake with swirl; 🥮 moon cake; 🍡 dango; 🥟 dumpling; 🥠 fortune cookie; 🥡 takeout box;
🍦 soft ice cream; 🍧 shaved ice; 🍨 ice cream; 🍩 doughnut; 🍪 cookie; 🎂 birthday cake; 🍰 shortcake;
🧁 cupcake; 🥧 pie; 🍫 chocolate bar; 🍬 candy; 🍭 lollipop; 🍮 custard; 🍯 honey pot; 🍼 baby bottle;
🥛 glass of milk; ☕ hot beverage; 🫖 teapot; 🍵 teacup without handle; 🍶 sake; 🍾 bottle with popping cork;
🍷 wine glass; 🍸 cocktail glass; 🍹 tropical drink; 🍺 beer mug; 🍻 clinking beer mugs; 🥂 clinking glasses;
🥃 tumbler glass; 🫗 pouring liquid; 🥤 cup with straw; 🧋 bubble tea; 🧃 beverage box; 🧉 mate; 🧊 ice;
🥢 chopsticks; 🍽️ fork and knife with plate; 🍴 fork and knife; 🥄 spoon; 🔪 kitchen knife; 🫙 jar; 🏺 amphora
`;

/** 462 faces, hearts, animals, plants and foods. Every tenth, from the first on, is in the built-in set's held-out part. */
export const namedEmoji: readonly NamedEmoji[] = list.split(';').map((item) => {
  const [emoji = '', ...words] = item.trim().split(' ');
  return { emoji, name: words.join(' ') };
});
